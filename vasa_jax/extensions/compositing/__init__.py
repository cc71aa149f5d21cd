"""Images blended from the portrait's own pixels, moved or in place, and from decoded ones.

VASA-1's decoder draws every pixel. Where data and arithmetic are scarce, most of a talking face can
be had from the portrait itself: the model knows by its own warps where each point of the output
comes from (moving a source along a learned flow and masking what it cannot show is the first-order
motion model's, Siarohin et al. 2019, 2003.00196). What opens or is disoccluded is decoded.
"""
