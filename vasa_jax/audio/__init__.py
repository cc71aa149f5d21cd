"""16 kHz waveform to 25 Hz features."""
