"""Check → run → profile → scale → price: is a pipeline ready for a cloud, how far does it scale, what does it cost."""
