"""A catalog of machine-learning models, deployed to Kubernetes by one Pulumi program."""
