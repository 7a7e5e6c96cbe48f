/** @file Errors in the shape that OpenAI's clients expect. */
import { UserError } from "../../util/errors.ts";
import { PromptTooLong } from "../generator.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    status: number,
    message: string,
    more: { readonly param?: string; readonly code?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.type = status >= 500 ? "server_error" : "invalid_request_error";
    this.param = more.param ?? null;
    this.code = more.code ?? null;
  }
}

export function errorBody(error: unknown): { readonly error: Record<string, unknown> } {
  const { message, type, param, code } = asApiError(error);
  return { error: { message, type, param, code } };
}

/** A user's mistake is the request's fault; what went wrong inside is said without details. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof UserError) {
    const failed = error.code === "run_failed" || error.code === "device";
    const code = error instanceof PromptTooLong ? { code: "context_length_exceeded" } : {};
    return new ApiError(failed ? 500 : 400, error.message, code);
  }
  return new ApiError(500, "theseus failed while answering; its log says why");
}

export function errorResponse(error: unknown): Response {
  const { status } = asApiError(error);
  const headers: Record<string, string> = status === 401 ? { "www-authenticate": "Bearer" } : {};
  return Response.json(errorBody(error), { status, headers });
}
