#!/bin/sh
# Installs the system libraries that dens needs to be built and run, where they are missing. Run it again at any time:
# what is there already is left alone.
#
#     sh setup.sh
#
# Debian and Ubuntu are installed on; elsewhere this says what is needed. A Rust toolchain is taken for granted.
set -eu

say() { printf 'setup: %s\n' "$*"; }

# Nothing is linked but libc and libgcc; the rest is opened by name at start, so it would be missed only then.
# x11-dl, xkbcommon-dl, wayland-sys, ash and fontconfig-sys each name the file they open.
WINDOW_PACKAGES="libx11-6 libx11-xcb1 libxcb1 libxcursor1 libxi6 libxrandr2 libxkbcommon0 libxkbcommon-x11-0
    libwayland-client0 libwayland-cursor0 libwayland-egl1 libfontconfig1"
WINDOW_FILES="libX11.so.6 libX11-xcb.so.1 libxcb.so.1 libXcursor.so.1 libXi.so.6 libXrandr.so.2 libxkbcommon.so.0
    libxkbcommon-x11.so.0 libwayland-client.so.0 libfontconfig.so.1 libvulkan.so.1"

installed() {
    # More than one line where more than one architecture is installed.
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# A Vulkan driver for a graphics device that is really there; a driver's file alone does not make an adapter.
gpu_with_driver() {
    device=
    for node in /dev/dri/renderD* /dev/nvidiactl /dev/dxg; do
        if [ -e "$node" ]; then device=$node; fi
    done
    [ -n "$device" ] || return 1
    for file in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json; do
        if [ -e "$file" ]; then return 0; fi
    done
    return 1
}

debian() {
    missing=
    # A linker for Rust; no other compiler is used.
    command -v cc >/dev/null 2>&1 || missing="gcc libc6-dev"
    for package in $WINDOW_PACKAGES libvulkan1; do
        installed "$package" || missing="$missing $package"
    done
    if ! installed mesa-vulkan-drivers && ! gpu_with_driver; then
        say "no graphics device with a Vulkan driver was found, so the software driver is needed"
        missing="$missing mesa-vulkan-drivers"
    fi
    if [ -z "$missing" ]; then
        say "everything is there, nothing to do"
        return 0
    fi
    # shellcheck disable=SC2086 # a list of words
    set -- $missing
    say "missing: $*"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            say "you are not root and there is no sudo; have an administrator run: apt-get install $*"
            return 1
        fi
        as_root=sudo
        say "installing with sudo; it may ask for your password"
    fi
    $as_root apt-get update -q || say "the package lists could not be renewed; trying with those that are there"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
    say "installed: $*"
}

other_linux() {
    missing=
    command -v cc >/dev/null 2>&1 || missing="a C compiler (for its linker)"
    known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)
    for file in $WINDOW_FILES; do
        case $known in
        *"$file"*) ;;
        *) missing="${missing:+$missing, }$file" ;;
        esac
    done
    if [ -z "$missing" ]; then
        say "this is no Debian or Ubuntu; the libraries are there, nothing to do"
        return 0
    fi
    say "this is no Debian or Ubuntu, so nothing was installed. Missing: $missing"
    say "on Fedora: dnf install gcc libX11 libX11-xcb libxcb libXcursor libXi libXrandr libxkbcommon libxkbcommon-x11" \
        "libwayland-client libwayland-cursor libwayland-egl fontconfig vulkan-loader mesa-vulkan-drivers"
    return 1
}

case $(uname -s) in
Linux)
    if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then debian; else other_linux; fi
    ;;
Darwin)
    if xcode-select -p >/dev/null 2>&1; then
        say "macOS brings all libraries, nothing to do"
    else
        say "macOS brings all libraries; only the linker is missing: run xcode-select --install"
        exit 1
    fi
    ;;
*)
    say "nothing to install on $(uname -s); see the README for what is needed"
    ;;
esac
