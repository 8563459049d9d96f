"""RTL of the core: SBUF and what reads and writes it, engines, dispatcher, DMA."""
