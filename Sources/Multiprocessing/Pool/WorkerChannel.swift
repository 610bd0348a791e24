import CPlatform
import Glibc

/// The server's end of one worker: its channel, its claims, and what is under way between them.
///
/// Calls go out by a socket, which raises no SIGPIPE in a program that has a pool. Answers come by
/// a pipe: many small ones, each written on its own, lie there in one piece, where a socket keeps a
/// buffer for each. The end of either is the end of both.
final class WorkerChannel: PoolChannel {
  let worker: PoolWorkerID
  let slot: Int
  let socket: Int32
  /// The end of the pipe that reads, and does not wait.
  let answers: Int32
  let claims: OpaquePointer
  let startedAt: UInt64
  var token: ProcessToken?
  var process: Int32 = 0
  /// Written by nobody but `append…`; `sent` bytes of it are gone already.
  var output: [UInt8] = []
  var sent = 0
  /// Whether it is on the pool's list of those to flush.
  var isDirty = false
  var isWatchedForWriting = false
  /// The worker's end of the pipe is closed, or it is not to be trusted; there is nothing more to
  /// read or to watch.
  var isEnded = false
  /// Nothing more is written: what there would be is thrown away.
  private var isDeaf = false
  /// The fork server was lost before it told that the process runs: only the end of the channel
  /// will tell that it does not.
  var isOrphaned = false
  var stage = Stage.silent
  var input: FrameInput

  /// What the worker has said of itself. Moves only forward.
  enum Stage {
    /// Nothing.
    case silent
    /// Hello.
    case greeted
    /// That it is ready, or that its initializer failed.
    case settled
  }

  init(
    worker: PoolWorkerID, slot: Int, socket: Int32, answers: Int32, claims: OpaquePointer,
    startedAt: UInt64, frameBytesMax: Int
  ) {
    input = FrameInput(bytesMax: frameBytesMax)
    self.worker = worker
    self.slot = slot
    self.socket = socket
    self.answers = answers
    self.claims = claims
    self.startedAt = startedAt
  }

  deinit {
    close(socket)
    close(answers)
    lido_claims_unmap(claims)
  }

  /// The first frame, which the worker finds when it begins to read.
  func appendSetup(_ settings: WorkerSettings, callsMax: Int?) {
    let start = output.beginFrame(.setup)
    output.append(littleEndian: UInt32(callsMax ?? 0))
    output.append(littleEndian: UInt32(settings.resultBytesMax))
    output.append(littleEndian: UInt32(settings.openFilesMax.count))
    for (task, most) in settings.openFilesMax {
      output.append(name: task)
      output.append(littleEndian: most)
    }
    output.append(settings.owner == nil ? 0 : 1)
    if let owner = settings.owner { output.append(owner) }
    output.append(UInt8(settings.initializerDescriptors.count))
    output.append(name: settings.initializer ?? "")
    output.append(utf8: settings.initializerArguments)
    output.endFrame(start)
  }

  func appendCall(_ call: UInt64, attempt: UInt32, task: String, args: String, kwargs: String) {
    let textBytes = task.utf8.count + args.utf8.count + kwargs.utf8.count
    let bytes = Frame.headerBytes + 9 + textBytes
    // Room is asked for once: piece by piece, that would be most of the work.
    output.append(addingCapacity: bytes) { frame in
      frame.append(littleEndian: UInt32(bytes - 4))
      frame.append(FrameKind.call.rawValue)
      frame.append(littleEndian: call)
      frame.append(littleEndian: attempt)
      frame.append(UInt8(task.utf8.count))
      frame.append(utf8: task)
      frame.append(littleEndian: UInt32(args.utf8.count))
      frame.append(utf8: args)
      frame.append(utf8: kwargs)
    }
  }

  func appendChunk(_ call: UInt64, _ flags: ChunkFlags, task: String, arguments: [UInt8]) {
    let start = output.beginFrame(.chunk, call: call)
    output.append(flags.rawValue)
    output.append(name: task)
    output += arguments
    output.endFrame(start)
  }

  func appendChunk(_ call: UInt64, _ flags: ChunkFlags, task: String, items: String) {
    let start = output.beginFrame(.chunk, call: call)
    output.append(flags.rawValue)
    output.append(name: task)
    output.append(utf8: items)
    output.endFrame(start)
  }

  func appendStop() {
    output.endFrame(output.beginFrame(.stop))
  }

  /// Nothing more is written from here on. The worker finds the end behind what it has not read.
  func endWriting() {
    isDeaf = true
    shutdown(socket, Int32(SHUT_RDWR))
  }

  /// Writes what the socket takes, in one call. Returns whether all of it is gone.
  func flush() -> Bool {
    if isDeaf { return forgetOutput() }
    let count = output.withUnsafeBytes { bytes in
      let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
      return send(
        socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
    if count < 0 {
      if errno == EAGAIN || errno == EINTR || errno == ENOBUFS { return false }
      // The worker is gone, or will not read: what waits for the socket's end is told of it.
      endWriting()
      return forgetOutput()
    }
    sent += count
    return sent == output.count && forgetOutput()
  }

  /// Nothing of the output is to be written any more, which is true.
  private func forgetOutput() -> Bool {
    output.removeAll(keepingCapacity: output.count <= 1 << 18)
    sent = 0
    return true
  }
}

extension OutputSpan<UInt8> {
  /// Appends a number, the lowest byte first.
  @inline(__always)
  fileprivate mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(
    littleEndian number: Number
  ) {
    withUnsafeBytes(of: number.littleEndian) { append($0) }
  }

  /// Appends a string's UTF-8.
  @inline(__always)
  fileprivate mutating func append(utf8 text: String) {
    text.utf8.span.withUnsafeBytes { append($0) }
  }

  @inline(__always)
  private mutating func append(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= freeCapacity, "more bytes than there is room for")
    withUnsafeMutableBufferPointer { (buffer, count) in
      UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
        .copyMemory(from: bytes)
      count += bytes.count
    }
  }
}
