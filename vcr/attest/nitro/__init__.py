"""Documents of AWS Nitro enclaves, read and verified offline."""
