"""Audio-lip synchronisation: SyncNet (Chung and Zisserman 2016), and a network of our own."""
