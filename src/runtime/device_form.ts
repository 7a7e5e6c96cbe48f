/** @file How a device is named: `auto`, `cpu`, `cuda` or `cuda:1`; apart from what opens one, for configurations alone. */

export const DEVICE_FORM = /^(auto|cpu|cuda(:(0|[1-9]\d{0,3}))?)$/;
