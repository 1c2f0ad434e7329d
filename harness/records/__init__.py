"""Records that more than one part reads: rows of files, names of protocols, rules of alerts. No function of weight."""
