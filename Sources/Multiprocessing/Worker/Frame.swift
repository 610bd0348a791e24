import JSON

// The channel between the server and a Swift worker: a stream socket for what goes to the worker,
// and a pipe for what comes from it. Both carry frames, all numbers little-endian:
//
//     u32 length of what follows | u8 kind | u64 call | payload
//
// Both ends are the same program, so a frame that breaks these rules means a damaged process.
//
// kind             direction  call  payload
// hello            worker →   0     u32 protocol version, u32 pid, then names: u8 length, bytes
// ready            worker →   0
// initializerFailed worker →  0     message
// returned         worker →   yes   u8 1 if retiring, u32 run time in µs, result as JSON
// raised           worker →   yes   u8 1 if retiring, u32 run time in µs, error as JSON
// setup            → worker   0     u32 calls to run at most (0: no limit), u32 largest result,
//                                   u32 number of tasks with a limit of open files, of each its
//                                   name (u8 length, bytes) and u32 limit,
//                                   u8 1 if a program owns the pool, and then of its process: name
//                                   and start method (each u32 length, bytes; none if not set)
//                                   around i32 pid, u32 length of its key, key; its sentinel is
//                                   `Bootstrap.parentDescriptor`,
//                                   u8 number of descriptors that came with the initializer's
//                                   args, from `Bootstrap.firstInitializerDescriptor` on,
//                                   u8 length of the initializer's name, name, its args as JSON
// call             → worker   yes   u32 attempt, u8 length of the task's name, name,
//                                   u32 length of args, args, kwargs, both JSON
// chunk            → worker   yes   u8 flags (`ChunkFlags`), u8 length of the task's name, name, an
//                                   array of arguments as JSON; answered by an array of results, or
//                                   by the error of the first that failed, with members of
//                                   `ChunkFailure`
// stop             → worker   0

/// The kinds of frame.
enum FrameKind: UInt8 {
  case hello = 1
  case ready = 2
  case initializerFailed = 3
  case returned = 4
  case raised = 5
  case setup = 16
  case call = 17
  case stop = 18
  case chunk = 19

  /// What both ends must agree on; goes up with every change of the table above.
  static let protocolVersion: UInt32 = 5
}

/// How a worker runs a chunk.
struct ChunkFlags: OptionSet {
  let rawValue: UInt8

  /// Each element is an array of arguments.
  static let star = ChunkFlags(rawValue: 1)
  /// Each element is decoded and each result encoded on its own if all together cannot be; with an
  /// error come the results before it (`values`), and not the error itself (`payload`).
  static let itemByItem = ChunkFlags(rawValue: 2)
}

/// One frame, in the memory that it was read into; valid while that is.
struct Frame {
  /// What precedes the payload, the length included.
  static let headerBytes = 13
  /// The longest frame to a worker, without its length field.
  static let bytesMax = 256 << 20
  /// The longest message of an error, in bytes; longer ones are cut by the worker. Each may become
  /// six when it is escaped.
  static let messageBytesMax = 64 << 10
  /// The most by which a frame from a worker, without its length field, can be longer than the
  /// longest result: headers, errors, names of tasks.
  static let overheadBytesMax = 1 << 20

  let kind: UInt8
  let call: UInt64
  let payload: UnsafeRawBufferPointer
}

/// Why a stream of bytes is not one of frames.
struct FrameError: Error, Equatable {
  let reason: String
}

extension [UInt8] {
  /// Appends the header of a frame whose payload is to follow. Returns where it begins, for
  /// `endFrame`.
  mutating func beginFrame(_ kind: FrameKind, call: UInt64 = 0) -> Int {
    let start = count
    append(littleEndian: UInt32(0))
    append(kind.rawValue)
    append(littleEndian: call)
    return start
  }

  /// Fills in the length of the frame that began at `start`.
  mutating func endFrame(_ start: Int) {
    let length = UInt32(count - start - 4)
    withUnsafeMutableBytes {
      $0.storeBytes(of: length.littleEndian, toByteOffset: start, as: UInt32.self)
    }
  }

  /// Appends the frame of an answer, at once: each append of its own would ask anew whether the
  /// array is shared and has room.
  mutating func appendAnswer(
    _ kind: FrameKind, call: UInt64, isRetiring: Bool, microseconds: UInt32,
    _ result: inout JSONWriter
  ) {
    let overhead = Frame.headerBytes + 5
    let count = overhead + result.count
    result.withUnsafeMutableBytes(from: 0) { text in
      append(addingCapacity: count) { span in
        span.withUnsafeMutableBufferPointer { (target, written) in
          let frame = UnsafeMutableRawBufferPointer(target)
          frame.storeBytes(of: UInt32(count - 4).littleEndian, as: UInt32.self)
          frame[4] = kind.rawValue
          frame.storeBytes(of: call.littleEndian, toByteOffset: 5, as: UInt64.self)
          frame[Frame.headerBytes] = isRetiring ? 1 : 0
          frame.storeBytes(
            of: microseconds.littleEndian, toByteOffset: overhead - 4, as: UInt32.self)
          UnsafeMutableRawBufferPointer(rebasing: frame[overhead...])
            .copyMemory(from: UnsafeRawBufferPointer(text))
          written = count
        }
      }
    }
  }

  mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(littleEndian number: Number) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }

  /// Appends a string's UTF-8 in one copy.
  mutating func append(utf8 text: String) {
    var text = text
    text.withUTF8 { append(contentsOf: $0) }
  }

  /// Appends a name with its length before it; names have at most 255 bytes.
  mutating func append(name: String) {
    append(UInt8(name.utf8.count))
    append(utf8: name)
  }
}
