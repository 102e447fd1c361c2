"""Images as data: decoding, resizing, labelled sets, folders, pictures of many."""
