"""The options that raypipe ships: `pipeline.yaml` and a folder a group, found by Hydra as `pkg://raypipe.configs`."""
