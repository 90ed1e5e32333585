"""What moderation is: parts, scores, policy, verdicts, deadlines. Standard library only, no I/O."""
