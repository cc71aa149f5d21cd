"""How the shipped sync network was trained: renders of motion tracks, read by the face tracker."""
