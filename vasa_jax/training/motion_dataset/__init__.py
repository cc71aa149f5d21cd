"""The data set of stage 2: videos to clips of motion, sound and labels (VASA-1 section 3.2)."""
