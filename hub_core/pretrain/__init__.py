"""Pre-training: rows of a corpus, what is hidden in them, and what is learnt from that."""

#: What may be learnt: hidden words, alone or with the order of sentences; replaced tokens.
OBJECTIVES = ("mlm", "mlm+sop", "mlm+nsp", "rtd")
