"""python -m maricopa_scrapy: the `maricopa` command."""

from maricopa_scrapy.cli.main import main

if __name__ == "__main__":
    main()
