# To be sourced in the checkout: makes this machine ready to draw heads and train, from a folder of
# recipes/demo/lease/carry.py. What is here already is left alone; a second time costs nothing.
#
#   . recipes/demo/lease/setup.sh [FOLDER]        (default: .lease)
#
# Installs the OpenGL loaders (root, and only where there are none), moderngl into FOLDER.here/site,
# the head model into FOLDER.here/cache; exports PYTHONPATH, VASA_JAX_CACHE, LEASE_VGG (file of
# `train face --vgg`), LEASE_ASSETS, and what EGL needs to find its driver.

lease=${1:-.lease}
[ -f "$lease/manifest.json" ] || lease=.lease # dash hands a sourced file its caller's arguments
if [ ! -f "$lease/manifest.json" ]; then
    echo "setup: no folder of recipes/demo/lease/carry.py at $lease" >&2
    return 2
fi
lease=$(cd "$lease" && pwd)
lease_here=$lease.here
lease_python=${PYTHON:-python3}
mkdir -p "$lease_here"
case ":${PYTHONPATH:-}:" in
    *":$PWD:"*) ;;
    *) export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" ;;
esac
export LEASE_VGG="$lease/cache/vgg16_int8.safetensors"
if [ -d "$lease/assets" ]; then export LEASE_ASSETS="$lease/assets"; fi

lease_libraries() { PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null; }
if ! lease_libraries | grep -q 'libEGL\.so\.1'; then
    if [ "$(id -u)" = 0 ] && command -v dpkg >/dev/null; then
        for lease_deb in "$lease"/gl/*.deb; do dpkg -x "$lease_deb" /; done
        ldconfig
    else
        echo "setup: no libEGL, and no root to install it" >&2
    fi
fi

# A driver whose description lies where the loader does not look.
if [ -z "${__EGL_VENDOR_LIBRARY_FILENAMES:-}" ] &&
    ! ls /usr/share/glvnd/egl_vendor.d/*nvidia*.json /etc/glvnd/egl_vendor.d/*nvidia*.json \
        2>/dev/null | grep -q .; then
    for lease_file in /usr/local/share/glvnd/egl_vendor.d/*nvidia*.json \
        /usr/local/*/share/glvnd/egl_vendor.d/*nvidia*.json; do
        if [ -f "$lease_file" ]; then export __EGL_VENDOR_LIBRARY_FILENAMES="$lease_file"; fi
    done
fi

if ! "$lease_python" -c 'import moderngl' 2>/dev/null; then
    if [ ! -d "$lease_here/site/moderngl" ]; then
        "$lease_python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir \
            --root-user-action=ignore --target "$lease_here/site" "$lease"/wheels/*.whl ||
            echo "setup: moderngl is missing; the wheels are for Python 3.12, x86-64 Linux" >&2
    fi
    if [ -d "$lease_here/site" ]; then export PYTHONPATH="$lease_here/site:$PYTHONPATH"; fi
fi

# libGL.so.1 needs libX11, which a bare machine may lack; libOpenGL.so.0 has the same functions.
if [ -z "${GLCONTEXT_LINUX_LIBGL:-}" ] &&
    ! "$lease_python" -c 'import ctypes; ctypes.CDLL("libGL.so.1")' 2>/dev/null &&
    "$lease_python" -c 'import ctypes; ctypes.CDLL("libOpenGL.so.0")' 2>/dev/null; then
    export GLCONTEXT_LINUX_LIBGL=libOpenGL.so.0
fi

# A copy, since what is carried is replaced by the next transfer, with all that was made beside it.
lease_cache=${VASA_JAX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/}/.cache}/vasa_jax}
if [ ! -d "$lease_cache/weights/anny-heads" ]; then
    if [ ! -d "$lease_here/cache" ]; then
        cp -R "$lease/cache" "$lease_here/cache.new" && mv "$lease_here/cache.new" "$lease_here/cache"
    fi
    export VASA_JAX_CACHE="$lease_here/cache"
fi
