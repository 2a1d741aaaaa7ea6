/** What Fastify and Node's HTTP parser refuse, in the words of our table. */
import { CardumeError } from '../base/errors.ts';
import { PROBLEM_TYPE, problemOf } from '../base/problem.ts';

/** @returns the error itself when it is none of theirs */
export function translateHttpError(error: unknown): unknown {
  switch (codeOf(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new CardumeError('body-too-large', 'the body is larger than this API takes', { cause: error });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new CardumeError('unsupported-media-type', 'expected Content-Type: application/json', {
        cause: error,
      });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new CardumeError('bad-json', 'the body is not as long as Content-Length says', { cause: error });
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new CardumeError('bad-json', 'the body is not one JSON document', { cause: error });
    case 'FST_ERR_BAD_URL':
      return new CardumeError('invalid-input', 'the path has a faulty percent-encoding', { cause: error });
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new CardumeError('not-found', 'a part of the path is too long to name anything', {
        cause: error,
      });
    case 'ECONNRESET':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return new CardumeError('request-timeout', 'the request broke off', { cause: error });
    default:
      return error;
  }
}

/** For what fails before there is a request: the parser's error in our words. */
export function translateClientError(error: unknown): CardumeError {
  switch (codeOf(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return new CardumeError('headers-too-large', 'the headers are larger than 16 KiB');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new CardumeError('body-too-large', 'the chunk extensions are larger than this API takes');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new CardumeError('request-timeout', 'the request did not arrive in time');
    default:
      return new CardumeError('invalid-input', 'this is not a request in HTTP/1.1');
  }
}

/** A whole response for a socket on which no server object answers any more. */
export function rawResponse(error: CardumeError, requestId: string): string {
  const problem = problemOf(error, requestId);
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${problem.title.replaceAll(/[^\x20-\x7e]/g, '')}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}
