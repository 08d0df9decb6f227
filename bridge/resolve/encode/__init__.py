"""Requirements, records and files as clauses over the variables of one request."""
