"""`python -m odnbench`."""

from odnbench.cli.app import main

if __name__ == "__main__":
    main()
