"""What every stage stands on: errors, files, options, seeds, progress, devices."""
