"""Live views: what changes while a run goes on."""
