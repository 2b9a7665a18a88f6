"""Who acts: policies, the rollouts that play them, the traces of what they did and where these are kept."""
