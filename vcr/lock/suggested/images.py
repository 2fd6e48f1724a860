"""Images whose place Debian packages can take: the official ones that Dockerfiles name most.

A package is of trixie, for each architecture. Of their configs there is what Dockerfiles and apps
rely on.
"""

from vcr.lock.suggested import databases, languages, php, servers, web
from vcr.lock.suggested.section import image

_APT = image("apt", "ca-certificates", shell=False, configure=True, cmd=("bash",))
# Applets of Debian's busybox that neither SHELL nor what it needs has; the package has no links.
_APPLETS = (
    "clear", "diff", "egrep", "fgrep", "find", "free", "grep", "gunzip", "gzip", "hostname",
    "httpd", "ifconfig", "ip", "kill", "killall", "less", "more", "netstat", "nslookup",
    "pidof", "ping", "ps", "sed", "su", "tar", "top", "traceroute", "unzip", "vi", "watch",
    "wget", "xargs", "xxd", "xzcat", "zcat",
)  # fmt: skip
_BUSYBOX = image(
    *("busybox", "dash", "coreutils", "base-passwd", "base-files"),
    shell=False,
    cmd=("sh",),
    links={f"/usr/bin/{applet}": "busybox" for applet in _APPLETS},
)
# name of a repository → what stands for its images
IMAGES = {
    **languages.OTHERS,
    "amazoncorretto": languages.JDK,
    "alpine": _BUSYBOX,
    # These are used for apt-get, which needs packages whose scripts have run.
    "buildpack-deps": _APT,
    "busybox": _BUSYBOX,
    "caddy": web.CADDY,
    "debian": _APT,
    "eclipse-mosquitto": servers.MOSQUITTO,
    "eclipse-temurin": languages.JDK,
    "golang": languages.GO,
    "haproxy": servers.HAPROXY,
    "httpd": web.HTTPD,
    "java": languages.JDK,
    "mariadb": databases.MARIADB,
    "maven": languages.MAVEN,
    "memcached": servers.MEMCACHED,
    "mysql": databases.MYSQL,
    "nats": servers.NATS,
    "nginx": web.NGINX,
    "nginx-unprivileged": web.NGINX_UNPRIVILEGED,
    "node": languages.NODE_COMPILING,
    "openjdk": languages.JDK,
    "php": php.CLI,
    "postgres": databases.POSTGRES,
    "prometheus": servers.PROMETHEUS,
    "python": languages.PYTHON_COMPILING,
    "rabbitmq": servers.RABBITMQ,
    "redis": servers.REDIS,
    "registry": servers.REGISTRY,
    "ruby": languages.RUBY_COMPILING,
    "rust": languages.RUST,
    "tomcat": servers.TOMCAT,
    "ubuntu": _APT,
    "valkey": servers.VALKEY,
}
# The same for tags with a word, such as php:8.4-fpm, or a number.
VARIANTS = {
    ("amazoncorretto", "jre"): languages.JRE,
    ("eclipse-temurin", "jre"): languages.JRE,
    ("golang", "alpine"): languages.GO_WITHOUT_C,
    ("node", "alpine"): languages.NODE,
    ("node", "slim"): languages.NODE,
    ("openjdk", "jre"): languages.JRE,
    ("php", "apache"): php.APACHE,
    ("php", "fpm"): php.FPM,
    ("python", "alpine"): languages.PYTHON,
    ("python", "slim"): languages.PYTHON,
    ("rabbitmq", "management"): servers.RABBITMQ_MANAGEMENT,
    ("ruby", "alpine"): languages.RUBY,
    ("ruby", "slim"): languages.RUBY,
    ("tomcat", "11"): servers.TOMCAT_11,
}
