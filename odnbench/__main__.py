"""`python -m odnbench`."""

from odnbench.cli import main

if __name__ == "__main__":
    main()
