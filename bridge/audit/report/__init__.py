"""The files that an audit can write: a page for people, and bills of materials for other tools."""
