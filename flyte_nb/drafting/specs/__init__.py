"""Drafts of spec files: `spec_drafter` makes them, `naming` completes ids as flytectl does."""
