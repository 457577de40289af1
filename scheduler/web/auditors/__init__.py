"""The public pages: the signed log, searched, explained, proven and handed out."""
