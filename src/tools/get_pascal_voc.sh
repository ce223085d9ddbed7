#!/usr/bin/env bash
# Fetch Pascal VOC 2007 and 2012 into a folder and write the COCO-style JSON beside the images.
set -euo pipefail

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
ATTEMPTS=${VOC_ATTEMPTS:-3} # in a row without a new byte
PAUSE=${VOC_PAUSE:-5}       # seconds between attempts

# md5, bytes, path below the address. VOC_ARCHIVES names a file with another table, for repacked archives.
ARCHIVES="\
c52e279531787c972589f7e41ab4ae64   460032000 voc2007/VOCtrainval_06-Nov-2007.tar
b6e924de25625d8de591ea690078ad9f   451020800 voc2007/VOCtest_06-Nov-2007.tar
6cd6e144f989b92b3379bac3b3de84fd  1999639040 voc2012/VOCtrainval_11-May-2012.tar"
[ -z "${VOC_ARCHIVES:-}" ] || ARCHIVES=$(cat "$VOC_ARCHIVES")
HOME_ADDRESS=http://host.robots.ox.ac.uk/pascal/VOC # paths as in the table

usage() {
    cat <<USAGE
usage: get_pascal_voc.sh DIR [--mirror ADDRESS] [--unpack-only]

Fetches VOC 2007 (trainval, test) and 2012 (trainval), 2.9 GB, into DIR/downloads, checks and unpacks them and makes
  DIR/images/                               all JPEGs (hard links to those in DIR/VOCdevkit)
  DIR/annotations/pascal_trainval0712.json  16551 images to train on
  DIR/annotations/pascal_test2007.json      4952 images to test on
Run again, it goes on where it stopped.
  --mirror ADDRESS  take ADDRESS/<file name> instead of $HOME_ADDRESS/<path>
  --unpack-only     do not download: use the archives that lie in DIR/downloads
USAGE
}

say() { printf '%s\n' "$*"; }
fail() { printf 'get_pascal_voc.sh: %s\n' "$*" >&2; exit 2; }

DIR="" MIRROR="" UNPACK_ONLY=""
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --mirror) MIRROR=${2:?--mirror needs an address}; shift ;;
        --unpack-only) UNPACK_ONLY=yes ;;
        -*) usage >&2; fail "unknown option $1" ;;
        *) [ -z "$DIR" ] || fail "one folder, please; found '$DIR' and '$1'"; DIR=$1 ;;
    esac
    shift
done
[ -n "$DIR" ] || { usage >&2; exit 2; }

size_of() { if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }

address_of() { if [ -n "$MIRROR" ]; then echo "${MIRROR%/}/${1##*/}"; else echo "$HOME_ADDRESS/$1"; fi; }

without_network() { # what is missing, and how to go on by hand
    local md5 bytes path
    {
        say ""
        say "To go on without this connection, put these files into $DIR/downloads and run the same command again:"
        while read -r md5 bytes path; do
            [ -f "$DIR/downloads/${path##*/}.done" ] || say "  ${path##*/}  ($bytes bytes, md5 $md5)  $HOME_ADDRESS/$path"
        done <<<"$ARCHIVES"
        say "Other homes carry the same files: --mirror https://data.pjreddie.com/files"
        say "A file that is only half there is continued."
    } >&2
}

download_once() { # ADDRESS FILE: continues FILE
    local status=0 progress=--silent
    if command -v curl >/dev/null; then
        if [ -t 2 ]; then progress=--progress-bar; fi
        curl --fail --location "$progress" --show-error --connect-timeout 20 --speed-limit 1000 --speed-time 60 \
            --continue-at - --output "$2" "$1" || status=$?
        if [ $status -eq 33 ]; then rm -f "$2"; fi # this server cannot continue a file: from the start, then
        return $status
    elif command -v wget >/dev/null; then
        wget --quiet --tries=1 --timeout=60 --continue --output-document="$2" "$1"
    else
        fail "needs curl or wget"
    fi
}

download() { # BYTES PATH: until DIR/downloads/<name>.part has that many bytes; gives up after ATTEMPTS without progress
    local bytes=$1 address part before failed=0
    address=$(address_of "$2")
    part=$DIR/downloads/${2##*/}.part
    while [ "$(size_of "$part")" -ne "$bytes" ]; do
        before=$(size_of "$part")
        if [ "$before" -gt "$bytes" ]; then
            rm -f "$part"
            before=0
        fi
        say "fetching $address ($before of $bytes bytes are here)"
        if ! download_once "$address" "$part" || [ "$(size_of "$part")" -ne "$bytes" ]; then
            say "cut off at $(size_of "$part") of $bytes bytes"
            if [ "$(size_of "$part")" -gt "$before" ] && [ "$(size_of "$part")" -le "$bytes" ]; then failed=0; else failed=$((failed + 1)); fi
            [ "$failed" -lt "$ATTEMPTS" ] || return 1
            sleep "$PAUSE"
        fi
    done
}

fetch() { # MD5 BYTES PATH: a checked archive in DIR/downloads
    local md5=$1 bytes=$2 path=$3 archive
    archive=$DIR/downloads/${path##*/}
    if [ -f "$archive" ] && [ "$(size_of "$archive")" -lt "$bytes" ]; then mv "$archive" "$archive.part"; fi
    if [ ! -f "$archive" ]; then
        if [ -n "$UNPACK_ONLY" ]; then
            without_network
            fail "$archive is not there, or not all of it"
        fi
        if ! download "$bytes" "$path"; then
            without_network
            fail "could not fetch $(address_of "$path")"
        fi
        mv "$archive.part" "$archive"
    fi
    say "checking $archive"
    local found
    found=$(md5sum "$archive" | cut -d ' ' -f 1)
    if [ "$found" != "$md5" ]; then
        mv "$archive" "$archive.bad"
        fail "$archive is damaged: md5 $found, expected $md5; it is now $archive.bad, run again to fetch it anew"
    fi
}

# Hard links cost no space; where the file system has none, copies.
link_images() {
    mkdir -p "$DIR/images"
    local folder
    for folder in "$DIR"/VOCdevkit/VOC*/JPEGImages; do
        cp -rlf "$folder"/. "$DIR/images/" 2>/dev/null || cp -ru "$folder"/. "$DIR/images/"
    done
}

write_json() {
    local python year image_set
    python=$TOOLS/../../.venv/bin/python
    [ -x "$python" ] || python=$(command -v python3) || fail "needs python3 to write the JSON"
    for year in 2012 2007; do
        for image_set in train val; do
            "$python" "$TOOLS/voc_to_coco.py" "$DIR/VOCdevkit/VOC$year" "$image_set" -o "$DIR/annotations/pascal_$image_set$year.json"
        done
    done
    "$python" "$TOOLS/voc_to_coco.py" "$DIR/VOCdevkit/VOC2007" test -o "$DIR/annotations/pascal_test2007.json"
    "$python" "$TOOLS/merge_pascal_json.py" -a "$DIR/annotations"
}

main() {
    local md5 bytes path archive
    mkdir -p "$DIR/downloads" || fail "cannot write into $DIR"
    while read -r md5 bytes path; do
        archive=$DIR/downloads/${path##*/}
        # .done: checked and unpacked; the archive itself may then be deleted.
        if [ -f "$archive.done" ]; then continue; fi
        fetch "$md5" "$bytes" "$path"
        say "unpacking $archive"
        tar -xf "$archive" -C "$DIR"
        touch "$archive.done"
    done <<<"$ARCHIVES"
    link_images
    write_json
    say "done: --data_dir $DIR with any cfg/*_pascal_*.yaml; $DIR/downloads/*.tar may be deleted"
}

main
