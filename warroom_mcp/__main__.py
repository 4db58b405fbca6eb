"""`python -m warroom_mcp` is the command line."""

from warroom_mcp.cli import main

if __name__ == "__main__":
    main()
