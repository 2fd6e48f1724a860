"""Images for which nothing is suggested, and why."""

_NONE = {
    # MariaDB is known; these are not in trixie, or not of it
    "arangodb": "ArangoDB",
    "bun": "Bun",
    "cassandra": "Cassandra",
    "consul": "Consul",
    "couchbase": "Couchbase",
    "couchdb": "CouchDB",
    "dart": "Dart",
    "deno": "Deno",
    "drupal": "Drupal",
    "elasticsearch": "Elasticsearch",
    "ghost": "Ghost",
    "grafana": "Grafana",
    "jenkins": "Jenkins",
    "joomla": "Joomla",
    "julia": "Julia",
    "kafka": "Kafka",
    "kibana": "Kibana",
    "logstash": "Logstash",
    "minio": "MinIO",
    "mongo": "MongoDB",
    "mongo-express": "mongo-express",
    "neo4j": "Neo4j",
    "nextcloud": "Nextcloud",
    "nifi": "NiFi",
    "opensearch": "OpenSearch",
    "oracle-xe": "Oracle's database",
    "percona": "Percona's server",
    "sapmachine": "SapMachine",
    "sbt": "sbt",
    "solr": "Solr",
    "sonarqube": "SonarQube",
    "telegraf": "Telegraf",
    "traefik": "Traefik",
    "vault": "Vault",
}
_SYSTEMS = {
    "almalinux": "AlmaLinux",
    "amazonlinux": "Amazon Linux",
    "archlinux": "Arch Linux",
    "centos": "CentOS",
    "clearlinux": "Clear Linux",
    "fedora": "Fedora",
    "mageia": "Mageia",
    "opensuse": "openSUSE",
    "leap": "openSUSE",
    "tumbleweed": "openSUSE",
    "oraclelinux": "Oracle Linux",
    "photon": "Photon",
    "rockylinux": "Rocky Linux",
    "ubi8": "Red Hat",
    "ubi9": "Red Hat",
    "ubi-minimal": "Red Hat",
    "void-linux": "Void Linux",
}
# A repository without its place, or a place that ends in a slash → why.
ABSENT = {
    **{name: f"Debian has no packages of {what}" for name, what in _NONE.items()},
    **{name: f"Debian's packages are not those of {what}" for name, what in _SYSTEMS.items()},
    "mcr.microsoft.com/dotnet/": "Debian has no packages of .NET",
    "gradle": "Debian has only Gradle 4.4, of 2018: run ./gradlew on default-jdk-headless, which"
    " fetches its own",
    "influxdb": "Debian has only InfluxDB 1.6",
    "jetty": "Debian's jetty12 does not start as the image does",
    "mono": "Debian has no Mono for riscv64",
    "swift": "Debian has no Swift for riscv64",
    "wordpress": "Debian's WordPress does not start as the image does: build on php:8.4-apache,"
    " and ADD what wordpress.org has",
}


def why_absent(place: str, name: str) -> str:
    """Return why nothing is suggested for the image NAME of PLACE, "" where that is not known.

    PLACE is a registry or an organization, with a slash at its end, or empty.
    """
    found = (why for part, why in ABSENT.items() if part.endswith("/") and place.startswith(part))
    return next(found, ABSENT.get(name, ""))
