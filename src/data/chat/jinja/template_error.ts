/** @file What goes wrong inside a template. The chat layer turns it into a DataError that names the conversation. */

export class TemplateError extends Error {
  /**
   * raised: the template itself refuses (raise_exception); syntax: it cannot be read; unsupported: Python's Jinja can do
   * this and we cannot; failed: an operation that fails in Python as well.
   */
  readonly reason: "raised" | "syntax" | "unsupported" | "failed";
  line: number | undefined;

  constructor(reason: TemplateError["reason"], message: string, line?: number) {
    super(message);
    this.name = "TemplateError";
    this.reason = reason;
    this.line = line;
  }
}

export const failed = (message: string): TemplateError => new TemplateError("failed", message);
export const unsupported = (message: string): TemplateError =>
  new TemplateError("unsupported", message);
