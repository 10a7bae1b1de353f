# shellcheck shell=sh
# Java, and the jars of one Kafka version, which Maven resolves into a cache folder. To be sourced after common.sh.

find_java() {
    JAVA=java
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then JAVA=$JAVA_HOME/bin/java; fi
    needed=11
    case $KAFKA_VERSION in [4-9] | [4-9].* | [1-9][0-9]*) needed=17 ;; esac
    set -- "install Java $needed or later (Debian, Ubuntu: apt install default-jre-headless maven; macOS: brew install openjdk maven)" \
        "or start a Docker engine and use: sh server_up.sh --docker"
    have "$JAVA" || die "no Java here: the native cluster runs on it" "$@"
    java_version=$("$JAVA" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
    [ "${java_version:-0}" -ge "$needed" ] ||
        die "$JAVA is Java ${java_version:-of an unknown version}, and Kafka $KAFKA_VERSION needs Java $needed or later here" "$@"
}

# Sets LIBS to the folder with the jars of KAFKA_VERSION, resolving them first if need be.
find_jars() {
    [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] ||
        die "neither HOME nor XDG_CACHE_HOME is set: no place for Kafka's jars" "set XDG_CACHE_HOME to a folder"
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/rowferry
    LIBS=$cache/kafka-$KAFKA_VERSION
    [ -d "$LIBS" ] || (resolve_jars) || exit 1
}

# Fills a folder of its own, then renames it: a half-filled cache is never seen, and of two that race one wins.
# -U: Maven would otherwise remember for a day that something could not be had.
resolve_jars() {
    have mvn || die "no Maven (mvn) here: it fetches Kafka's jars" \
        "install it (Debian, Ubuntu: apt install maven; macOS: brew install maven)" \
        "or start a Docker engine and use: sh server_up.sh --docker"
    need_space "$cache" 200 XDG_CACHE_HOME
    work=$(mktemp -d "$cache/resolving.XXXXXX") || die "cannot write in $cache" "choose another folder with XDG_CACHE_HOME"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    say "fetching Kafka $KAFKA_VERSION with Maven into $LIBS"
    write_pom >"$work/pom.xml"
    if ! mvn -B -q -U -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$work/libs" </dev/null >"$work/log" 2>&1; then
        warn "Maven says:"
        line=$(grep -m 1 ERROR "$work/log" | sed "s/$(printf '\033')\[[0-9;]*m//g" | cut -c 1-400)
        if [ -n "$line" ]; then warn "  | $line"; else tail_of "$work/log"; fi
        die "Maven could not resolve Kafka $KAFKA_VERSION" \
            "check the network (or the mirror and proxy in ~/.m2/settings.xml) and KAFKA_VERSION (2.8.1, 3.3.2, 3.9.1, 4.4.0 ...)"
    fi
    if [ ! -d "$LIBS" ]; then mv "$work/libs" "$LIBS"; fi
    rm -rf "${LIBS:?}/libs" # where mv put it if another call had come first by a moment
}

write_pom() {
    scala=2.13 extra='org.slf4j:slf4j-reload4j:1.7.36'
    case $KAFKA_VERSION in
    0.* | 1.* | 2.0.* | 2.1.* | 2.2.* | 2.3.*) scala=2.11 extra= ;; # bring their own log4j
    2.*) ;;
    *) extra="$extra org.apache.kafka:kafka-tools:$KAFKA_VERSION" ;; # many command-line tools moved there
    esac
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>rowferry</groupId><artifactId>cluster</artifactId>'
    echo '<version>1</version><packaging>pom</packaging><dependencies>'
    for jar in "org.apache.kafka:kafka_$scala:$KAFKA_VERSION" $extra; do
        rest=${jar#*:}
        echo "<dependency><groupId>${jar%%:*}</groupId><artifactId>${rest%:*}</artifactId><version>${rest#*:}</version></dependency>"
    done
    echo '</dependencies></project>'
}
