"""Label Studio on this machine: its environment, its process, the project in it. What `rsiseg up` and tests/e2e stand on."""
