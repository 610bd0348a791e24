import CPlatform
import Glibc

/// This side of one run: the ends of its pipes, and what goes through them.
final class ProgramRun {
  let call: UInt64
  let slot: Int
  let outputBytesMax: Int
  var token: ProcessToken?
  /// Our ends of stdin, stdout and stderr; -1 once closed. Non-blocking.
  var inputEnd: Int32 = -1
  var outputEnd: Int32 = -1
  var logEnd: Int32 = -1
  /// What goes to stdin; `inputSent` bytes of it are gone. Emptied when all are.
  private var input: [UInt8]
  private var inputSent = 0
  var output: [UInt8] = []
  /// Whether it has written too much, and is not read any more.
  var isOutputOver = false
  var log: ProgramLog
  /// Whether the log's growth is reported and that report not taken.
  var isGrowthReported = false

  init(_ call: UInt64, _ program: ProgramCall, slot: Int) {
    self.call = call
    self.slot = slot
    input = program.input
    outputBytesMax = program.outputBytesMax
    log = ProgramLog(bytesMax: program.logBytesMax)
  }

  deinit {
    for descriptor in [inputEnd, outputEnd, logEnd] where descriptor >= 0 { close(descriptor) }
  }

  /// Makes the pipes, and writes as much of the input as fits. Returns the program's ends for its
  /// descriptors 0, 1 and 2, which are the caller's to close, whether it throws or not. Without any
  /// input there is no pipe for it: stdin is /dev/null.
  func open(_ theirs: inout [ProcessSpecification.Inherited]) throws(StartFailure) {
    if !input.isEmpty {
      inputEnd = try Self.makePipe(toTheir: 0, &theirs)
      if writeInput() {
        close(inputEnd)
        inputEnd = -1
      }
    }
    outputEnd = try Self.makePipe(toTheir: 1, &theirs)
    logEnd = try Self.makePipe(toTheir: 2, &theirs)
  }

  /// Notes that one of our ends is closed.
  func forget(_ descriptor: Int32) {
    if descriptor == inputEnd { inputEnd = -1 }
    if descriptor == outputEnd { outputEnd = -1 }
    if descriptor == logEnd { logEnd = -1 }
  }

  /// Writes what the pipe takes, in one call. Returns whether there is nothing left to write: all
  /// of it is gone, or nobody reads it.
  func writeInput() -> Bool {
    let count = input.withUnsafeBytes { bytes in
      write(inputEnd, bytes.baseAddress! + inputSent, bytes.count - inputSent)
    }
    if count < 0 {
      if errno == EAGAIN || errno == EINTR { return false }
      // EPIPE: it has closed its stdin or is gone. That is not a failure of the program.
    } else {
      inputSent += count
      if inputSent < input.count { return false }
    }
    input = []
    return true
  }

  /// Makes the pipe for descriptor 0, 1 or 2 of the program and returns our end.
  private static func makePipe(
    toTheir target: Int32, _ theirs: inout [ProcessSpecification.Inherited]
  ) throws(StartFailure) -> Int32 {
    var ourEnd: Int32 = -1
    var theirEnd: Int32 = -1
    guard lido_make_pipe(target == 0 ? 1 : 0, &ourEnd, &theirEnd) == 0 else {
      throw StartFailure(stage: .descriptors, errorNumber: errno)
    }
    theirs.append(.init(theirEnd, as: target))
    return ourEnd
  }
}
