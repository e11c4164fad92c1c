#!/usr/bin/env bash
# gpu-report: checks and times axograd on the GPU of this machine. Needs an x86-64 Linux with a GPU driver, and nothing else.
#
#   ./gpu-report [--quick] [--parts a,b] [--budget SECONDS] [--out FILE] [--driver ICD.json] …   (--help has them all)
#
# The archive has Node and a Vulkan loader; the driver is the machine's: --driver, else $VK_DRIVER_FILES, else the one that the
# loader finds, else NVIDIA's, wherever containers put it.
set -eu

case ${BASH_SOURCE[0]} in
  */*) here=$(cd "${BASH_SOURCE[0]%/*}" && pwd) ;;
  *) here=$PWD ;;
esac
node=$here/bin/node

# Node is linked with the C++ library, which a minimal system may lack.
"$node" --version >/dev/null 2>&1 || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib/cxx"

# The system's loader fits its drivers best.
has() {
  "$node" -e 'try { process.dlopen({ exports: {} }, process.argv[1]) } catch (e) { process.exit(/self-register/.test(e.message) ? 0 : 1) }' "$1"
}
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/lib/wsl/lib /run/opengl-driver/lib; do
  [ -d "$folder" ] && export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
has libvulkan.so.1 || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib/vulkan"

# --driver takes precedence over the environment.
use_driver() {
  export VK_DRIVER_FILES=$1 VK_ICD_FILENAMES=$1
}
previous=
for argument; do
  [ "$previous" = --driver ] && use_driver "$argument"
  case $argument in --driver=*) use_driver "${argument#--driver=}" ;; esac
  previous=$argument
done
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then
  if has libEGL_nvidia.so.0 && ! has libGLX_nvidia.so.0; then
    # NVIDIA's own manifest names libGLX_nvidia, which needs X's libraries.
    export VK_DRIVER_FILES=$here/lib/vulkan/libEGL_nvidia.json
  else
    for file in /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json /usr/share/vulkan/icd.d/nvidia_icd.json \
      /etc/vulkan/icd.d/nvidia_icd.json /usr/share/vulkan/icd.d/nvidia_icd.x86_64.json \
      /usr/local/share/vulkan/icd.d/nvidia_icd.json /run/opengl-driver/share/vulkan/icd.d/nvidia_icd.x86_64.json; do
      [ -e "$file" ] && export VK_DRIVER_FILES=$file && break
    done
  fi
  # A container may have NVIDIA's library without the manifest that names it.
  if [ -z "${VK_DRIVER_FILES:-}" ] && has libGLX_nvidia.so.0; then
    export VK_DRIVER_FILES=$here/lib/vulkan/libGLX_nvidia.json
  fi
fi
# Loaders before 1.3.207 know only this name.
[ -n "${VK_DRIVER_FILES:-}" ] && export VK_ICD_FILENAMES=${VK_ICD_FILENAMES:-$VK_DRIVER_FILES}

exec "$node" --max-old-space-size=16384 "$here/axograd/scripts/gpu-report/report.mjs" "$@"
