/** @file Files that are imported by path (`with { type: "file" }`): the import is the path at run time. */
declare module "*.so" {
  const path: string;
  export default path;
}
declare module "*.zst" {
  const path: string;
  export default path;
}
declare module "*.gz" {
  const path: string;
  export default path;
}
/** Imported as what it says (`with { type: "text" }`). */
declare module "*.sh" {
  const text: string;
  export default text;
}
