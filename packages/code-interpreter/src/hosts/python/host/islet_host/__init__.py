"""The Python host of Islet's code interpreter: IPython's InteractiveShell behind a descriptor."""
