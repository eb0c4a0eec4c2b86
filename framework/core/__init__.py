"""Words that every package uses: positions, diagnostics, errors, changes, rollout arithmetic."""
