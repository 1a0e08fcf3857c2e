#!/usr/bin/env bash
# Every C file is as clang-format leaves it. The tree is formatted by version 14, of Debian 12: others
# break some lines elsewhere, and are not asked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$(clang-format --version | grep -oP 'version \K[0-9]+')
if [ "$version" -ne 14 ]; then
    echo "clang_format: left out: this is version $version, not 14" >&2
    exit 77
fi
find src include tests tools -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
