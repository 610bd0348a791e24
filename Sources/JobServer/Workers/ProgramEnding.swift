import Glibc
import JSON
import JobCore
import Multiprocessing

/// What the end of a program means for its job. Values in, values out.
enum ProgramEnding {
  /// Bytes of standard error that an error quotes.
  private static let quotedBytesMax = 4 << 10
  /// Characters of its last line that the message repeats.
  private static let lineMax = 300

  /// The event for `call`. `isOutOfMemory` says whether the system killed something for want of
  /// memory since it was last asked; it is asked only if that would explain the end.
  static func event(
    of end: ProgramEnd, _ call: CallID, _ program: ProgramSettings, _ limits: TaskLimits,
    outputBytesMax: Int,
    isOutOfMemory: () -> Bool
  ) -> Event {
    if let failure = end.startFailure {
      return failed(
        call, .raised, "ProgramNotStarted",
        "the program '\(program.name)' cannot be started: \(failure)")
    }
    if end.isOutputTooLong {
      return failed(
        call, .outputLimit, "OutputLimitPassed",
        "the program wrote more than \(outputBytesMax) bytes to its standard output and was killed",
        end)
    }
    if !end.isEndedByPool, let passed = limits.passed(by: end.status, use: end.use) {
      return failed(
        call, .cpuLimit, "CPULimitPassed", "the kernel ended the program: \(passed)", end)
    }
    switch end.status {
    case .exited(0): return succeeded(call, end.output, program)
    case .exited(let code):
      return failed(
        call, .exited, "ProgramFailed", "the program ended with exit status \(code)", end)
    case .signalled(SIGKILL) where !end.isEndedByPool && isOutOfMemory():
      return .callLost(call, .outOfMemory(exitcode: -SIGKILL))
    case .signalled(let number):
      return failed(
        call, .signalled, "ProgramSignalled", "the program was ended by signal \(number)", end)
    case .unknown: return .callLost(call, .interrupted)
    }
  }

  private static func failed(
    _ call: CallID, _ code: JobError.Code, _ type: String, _ message: String,
    _ end: ProgramEnd? = nil
  ) -> Event {
    var error = RaisedError(code: code, type: type, message: message)
    if let end {
      error.exitcode = end.status.exitcode
      let said = endOfLog(end.log)
      if !said.isEmpty { error.traceback = said }
      if let line = lastLine(of: said) { error.message += ": \(line)" }
    }
    return .callLost(call, .programFailed(error))
  }

  private static func endOfLog(_ log: ProgramLog) -> String {
    let piece = log.read(from: max(0, log.count - quotedBytesMax))
    return String(decoding: piece.bytes, as: UTF8.self)
  }

  private static func lastLine(of text: String) -> String? {
    let line = text.split { $0.isNewline }.last { !$0.allSatisfy(\.isWhitespace) }
    return line.map { $0.count > lineMax ? "\($0.prefix(lineMax))…" : String($0) }
  }

  // MARK: Results

  private static func succeeded(
    _ call: CallID, _ output: [UInt8], _ program: ProgramSettings
  ) -> Event {
    switch program.result {
    case .json: return json(call, output)
    case .text:
      guard let text = String(validating: output, as: UTF8.self) else {
        return failed(
          call, .resultEncoding, "NotText",
          "the program's standard output is not UTF-8; 'result: bytes' takes any bytes")
      }
      var writer = JSONWriter(capacity: output.count + 2)
      writer.string(text)
      return .callReturned(call, result: String(decoding: writer.bytes, as: UTF8.self))
    case .bytes(let contentType):
      return .callReturnedBytes(
        call, BytesResult(contentType: contentType, base64: Base64.encode(output)))
    }
  }

  private static func json(_ call: CallID, _ output: [UInt8]) -> Event {
    do throws(JSONError) {
      let text = try output.withUnsafeBufferPointer { (bytes) throws(JSONError) in
        try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.readText() }
      }
      return .callReturned(call, result: text)
    } catch {
      let hint = output.isEmpty ? "it is empty" : "\(error)"
      return failed(
        call, .resultEncoding, "NotJSON",
        "the program's standard output is not JSON: \(hint); 'result: text' takes any text")
    }
  }
}
