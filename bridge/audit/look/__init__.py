"""Reading a prefix for an audit: every path, what files contain, and what surrounds the prefix. Reads only."""
