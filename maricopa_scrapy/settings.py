"""Every Scrapy setting that we change: its value, Scrapy's default, and the reason.

A setting of ours begins with MARICOPA_. What depends on a source comes from config/sources/<source>.yaml.
"""

import os
import sys

from maricopa_scrapy import __version__, configuration

try:
    _config, _manifests = configuration.load()
except configuration.ConfigError as _error:
    sys.exit(f"error: {_error}")

BOT_NAME = "maricopa_scrapy"
SPIDER_MODULES = ["maricopa_scrapy.sources"]
NEWSPIDER_MODULE = "maricopa_scrapy.sources"
# Default "": ours overrides `crawl`, to exit with the ledger's verdict (stock Scrapy exits 0 on nearly every
# failure).
COMMANDS_MODULE = "maricopa_scrapy.crawl.commands"

# Ours, for every component.
MARICOPA_CONFIG = _config
MARICOPA_MANIFESTS = _manifests
# The address of a sandbox county; every source is then asked there, below /<source>.
MARICOPA_SANDBOX = os.environ.get("MARICOPA_SANDBOX", "")
# Requests per second, for the sandbox only; refused for any other host: start and ceiling, or the ceiling
# alone.
MARICOPA_RATE_LIMIT = None
MARICOPA_RATE_CEILING = None
# The port of /metrics, here for `-s`: 0 is any that is free, None none.
MARICOPA_METRICS_PORT = _config.metrics.port

# Default True. A proxy of the user's knows nothing of this machine's own addresses.
HTTPPROXY_ENABLED = not MARICOPA_SANDBOX

# --- who we are ---

# Default Scrapy's own name: a county must be able to see who asks, and how to reach them.
USER_AGENT = f"maricopa_scrapy/{__version__}" + (f" (+{_config.contact})" if _config.contact else "")
# Default False.
ROBOTSTXT_OBEY = any(manifest.obey_robots for manifest in _manifests.values())
# Defaults True: a cookie would tie requests together, and no source needs one.
COOKIES_ENABLED = False

# --- how fast ---

# Default 16 in all, 8 a domain: the slots below are narrower; this only feeds them.
CONCURRENT_REQUESTS = 20
# Default 0 and 8: for hosts without a manifest, and never zero, at which the cap of a domain does not hold.
DOWNLOAD_DELAY = 1.0
CONCURRENT_REQUESTS_PER_DOMAIN = max(manifest.concurrency for manifest in _manifests.values())
# Default {}: one slot a source, named by the source (see crawl/ledger_spider.py).
DOWNLOAD_SLOTS = {
    name: {"delay": 1 / manifest.rate.start, "concurrency": manifest.concurrency, "jitter": 0.1}
    for name, manifest in _manifests.items()
}
# Default Scrapy's own: its slots of sources keep exact time, and can be told to wait (pace/slots.py).
DOWNLOADER = "maricopa_scrapy.pace.slots.PacedDownloader"
# Default False. Ours (pace/throttle.py) owns the delay of a source's slot; stock AutoThrottle erodes it.
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = DOWNLOAD_DELAY

# --- what is given up, and when ---

# Default True: a failed target goes back to the ledger with its cause, which outlives a kill -9.
RETRY_ENABLED = False
# Default False: the spider must see every status to tell 401, 404, 429 and 500 apart.
HTTPERROR_ALLOW_ALL = True
# Default True: an API that redirects has changed, and a token must not follow it.
REDIRECT_ENABLED = False
METAREFRESH_ENABLED = False
# Default 180 s, 1 GiB, 32 MiB.
DOWNLOAD_TIMEOUT = max(manifest.timeout for manifest in _manifests.values())
DOWNLOAD_MAXSIZE = max(manifest.max_body for manifest in _manifests.values())
DOWNLOAD_WARNSIZE = DOWNLOAD_MAXSIZE
# Default False.
DOWNLOAD_VERIFY_CERTIFICATES = True
# Default Scrapy's own, which takes headers of any length; and others for files, FTP and S3, which nothing of
# ours asks.
DOWNLOAD_HANDLERS_BASE = dict.fromkeys(("http", "https"), "maricopa_scrapy.pace.http_handler.HttpHandler")
# Default a filter of all URLs seen, which grows with the job: the ledger holds each target once.
DUPEFILTER_CLASS = "scrapy.dupefilters.BaseDupeFilter"

# --- components ---

ITEM_PIPELINES = {"maricopa_scrapy.crawl.store_pipeline.StorePipeline": 500}
EXTENSIONS = {
    "scrapy.extensions.throttle.AutoThrottle": None,
    # Its counts, without its handler of items, which has a task of its own for every answer.
    "scrapy.extensions.corestats.CoreStats": None,
    "maricopa_scrapy.crawl.scrapy_stats.Stats": 0,
    "maricopa_scrapy.pace.throttle.Pace": 0,
    "maricopa_scrapy.crawl.traffic.Traffic": 5,
    "maricopa_scrapy.crawl.run_record.RunRecord": 10,
    "maricopa_scrapy.crawl.progress_log.Progress": 20,
    "maricopa_scrapy.crawl.metrics.Metrics": 30,
    # Each off: it does nothing here but cost time on every request.
    "scrapy.extensions.spiderstate.SpiderState": None,
}
DOWNLOADER_MIDDLEWARES = {
    # Each off: it does nothing here but cost time on every request.
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,
    # Warns at each start that no Referer is sent, as it is meant.
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": None,
    "maricopa_scrapy.pace.redirects.Redirects": 600,
    # Takes a robots.txt that cannot be had for leave to fetch everything.
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
    "maricopa_scrapy.pace.robots.RobotsTxt": 100,
    # Takes `proxy:3128` for one that speaks https.
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": None,
    "maricopa_scrapy.pace.proxies.Proxies": 750,
    # Takes a gzip body for whole that is damaged, or was cut short.
    "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": None,
    "maricopa_scrapy.pace.unpacking.Unpacking": 590,
}
SPIDER_MIDDLEWARES = {
    # Each off: we follow no links.
    "scrapy.spidermiddlewares.referer.RefererMiddleware": None,
    "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
    "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
    "scrapy.spidermiddlewares.metacopy.MetaCopyDetectionMiddleware": None,
    # Nobody asks which requests came of start(); and every status passes, see HTTPERROR_ALLOW_ALL.
    "scrapy.spidermiddlewares.start.StartSpiderMiddleware": None,
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": None,
}
# Default LIFO, for all but what that middleware marked: a target that was leased first is asked for first.
SCHEDULER_MEMORY_QUEUE = "scrapy.squeues.FifoMemoryQueue"
# Default 100, tasks for EVERY response: an answer is one item.
CONCURRENT_ITEMS = 1
# Default True, at the price of reading a callback's source.
WARN_ON_GENERATOR_RETURN_VALUE = False

# --- what is open, and what is said ---

# Defaults True: two doors into the process.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
# Default 60: its rates are wrong past 24 hours; crawl/progress_log.py has its own.
LOGSTATS_INTERVAL = 0
# Default True: fifty lines behind the verdict. The run's record has them.
STATS_DUMP = False
# Default DEBUG, a line for every answer.
LOG_LEVEL = "INFO"
# Default makes that line even when nobody sees it.
LOG_FORMATTER = "maricopa_scrapy.crawl.log_format.QuietLogFormatter"
LOG_VERSIONS: list[str] = []
# Default all fields: of an answer, what `-o` can show. The rows themselves are in Postgres.
FEED_EXPORT_FIELDS = ["target", "outcome", "cause", "message", "records"]
