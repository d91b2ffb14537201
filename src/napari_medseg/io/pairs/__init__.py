"""Images and the masks that belong to them."""
