"""The sandbox's recorder."""
