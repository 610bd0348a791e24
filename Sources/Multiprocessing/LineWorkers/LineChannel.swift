import CPlatform
import Glibc
import JSON

/// This side of one line worker: its socket, the pipes of its stdout and stderr, and what is under
/// way on them.
final class LineChannel: PoolChannel {
  /// Bytes of what a worker writes while it runs nothing that are kept, to explain its end.
  static let lastWordsMax = 4 << 10

  let worker: PoolWorkerID
  let slot: Int
  /// Our ends; -1 once closed. The socket is not closed before the worker is gone.
  let socket: Int32
  var outputEnd: Int32
  var errorEnd: Int32
  let startedAt: UInt64
  var token: ProcessToken?
  var process: Int32 = 0
  var state: LineWorker
  var input: LineInput
  /// Written by nobody but `state`; `sent` bytes of it are gone already.
  var output = JSONWriter()
  var sent = 0
  /// The ordinal of the call that it was given last.
  private(set) var lastOrdinal: UInt32 = 0
  /// Whether that call has not left this process whole: then no line of it has run.
  private(set) var isCallUnsent = false
  /// Since when the worker has taken none of it; nil: it takes all.
  var stalledSince: UInt64?
  /// Whether it is on the pool's list of those to flush.
  var isDirty = false
  var isWatchedForWriting = false
  /// Nothing more is read from the socket, or written to it.
  var isEnded = false
  /// The fork server was lost before it told that the process runs: only the end of the channel
  /// will tell that it does not.
  var isOrphaned = false
  /// Whether it was ready before the fork server told that it runs: a slot is not to be ready with
  /// a worker that has no number.
  var isReadyEarly = false
  /// Whether it said that it ends by itself after the call that it runs.
  var isRetiring = false

  /// The call whose log `stdout` and `stderr` are; nil: they are nobody's.
  private(set) var logCall: UInt64?
  private(set) var stdout: ProgramLog
  private(set) var stderr: ProgramLog
  /// Whether the growth of the logs is reported and that report not taken.
  var isGrowthReported = false
  /// What was written while it ran nothing.
  private(set) var lastWords = ProgramLog(bytesMax: LineChannel.lastWordsMax)

  init(
    worker: PoolWorkerID, slot: Int, socket: Int32, outputEnd: Int32, errorEnd: Int32,
    startedAt: UInt64, settings: LineWorkerSettings
  ) {
    self.worker = worker
    self.slot = slot
    self.socket = socket
    self.outputEnd = outputEnd
    self.errorEnd = errorEnd
    self.startedAt = startedAt
    state = LineWorker(resultBytesMax: settings.resultBytesMax)
    input = LineInput(bytesMax: settings.lineBytesMax)
    stdout = ProgramLog(bytesMax: settings.logBytesMax)
    stderr = ProgramLog(bytesMax: settings.logBytesMax)
  }

  deinit {
    for descriptor in [socket, outputEnd, errorEnd] where descriptor >= 0 { close(descriptor) }
  }

  /// The descriptors that are open.
  var descriptors: [Int32] { [socket, outputEnd, errorEnd].filter { $0 >= 0 } }

  /// A call is about to be written. From now on what the worker writes is that call's.
  func begin(_ call: UInt64, ordinal: UInt32) {
    lastOrdinal = ordinal
    isCallUnsent = true
    logCall = call
    isGrowthReported = false
    stdout = ProgramLog(bytesMax: stdout.bytesMax)
    stderr = ProgramLog(bytesMax: stderr.bytesMax)
  }

  /// From now on it is nobody's. Returns what the call wrote.
  func endLog() -> (stdout: ProgramLog, stderr: ProgramLog) {
    logCall = nil
    let ended = (stdout, stderr)
    stdout = ProgramLog(bytesMax: stdout.bytesMax)
    stderr = ProgramLog(bytesMax: stderr.bytesMax)
    return ended
  }

  /// Takes what it wrote. Returns whether that is a call's.
  func note(_ bytes: UnsafeRawBufferPointer, isError: Bool) -> Bool {
    guard logCall != nil else {
      lastWords.append(bytes)
      return false
    }
    if isError { stderr.append(bytes) } else { stdout.append(bytes) }
    return true
  }

  /// Forgets one of the ends of the pipes.
  func forget(_ descriptor: Int32) {
    if descriptor == outputEnd { outputEnd = -1 }
    if descriptor == errorEnd { errorEnd = -1 }
  }

  /// Writes what the socket takes, in one call. Returns whether all of it is gone.
  func flush(at now: UInt64) -> Bool {
    let count = output.bytes.withUnsafeBytes { bytes in
      let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
      return send(socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
    if count < 0 {
      if errno == EAGAIN || errno == EINTR || errno == ENOBUFS {
        stalledSince = stalledSince ?? now
        return false
      }
      // The worker is gone, and its exit will say what becomes of its call.
      sent = output.count
    } else {
      sent += count
      stalledSince = now
    }
    guard sent == output.count else { return false }
    if count >= 0 { isCallUnsent = false }
    stalledSince = nil
    output.bytes.removeAll(keepingCapacity: output.count <= 1 << 18)
    sent = 0
    return true
  }

  /// The ordinal of the last call that may have begun to run; nil where that is the one it has.
  var claimed: UInt32? { isCallUnsent ? lastOrdinal - 1 : nil }

  /// The last line that it wrote while it ran nothing; nil if there is none.
  var lastLine: String? {
    let text = String(decoding: lastWords.read(from: 0).bytes, as: UTF8.self)
    let line = text.split { $0.isNewline }.last { !$0.allSatisfy(\.isWhitespace) }
    return line.map { String($0.prefix(300)) }
  }
}
