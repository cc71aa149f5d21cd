"""What VASA-1 does not have: each module says what the paper does instead, and why it is here."""
