internal import Glibc

/// Reads a file line by line through one buffer, which grows to the longest line and no further.
final class LineReader {
  /// One line; its bytes are good until the next one is read.
  struct Line {
    /// Without the newline.
    let bytes: UnsafeBufferPointer<UInt8>
    /// Where it begins in the file.
    let offset: Int
    /// From 1.
    let number: Int
    /// Whether a newline follows; only a file's last line can lack it.
    let isTerminated: Bool
  }

  /// Bytes that one read asks for at least.
  private static let readBytes = 1 << 20

  private let fileSystem: any FileSystem
  private let file: OpenFile
  private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readBytes, alignment: 8)
  /// What was read and not yet given out: `buffer[start..<end]`.
  private var start = 0
  private var end = 0
  /// Where `buffer[start]` is in the file.
  private var offset = 0
  private var lines = 0
  private var isAtEnd = false

  /// Opens the file at `path`, to read from its beginning.
  init(_ path: String, _ fileSystem: any FileSystem) throws(StorageError) {
    self.fileSystem = fileSystem
    file = try fileSystem.open(path, for: .reading)
  }

  deinit {
    fileSystem.close(file)
    buffer.deallocate()
  }

  /// How many bytes were given out as lines, newlines included.
  var bytesRead: Int { offset }

  /// The next line, or nil at the end of the file.
  func next() throws(StorageError) -> Line? {
    var searched = 0
    while true {
      let base = buffer.baseAddress! + start
      if let newline = memchr(base + searched, 0x0A, end - start - searched) {
        return take(UnsafeRawPointer(newline) - UnsafeRawPointer(base), isTerminated: true)
      }
      searched = end - start
      guard !isAtEnd else {
        return searched == 0 ? nil : take(searched, isTerminated: false)
      }
      try fill()
    }
  }

  private func take(_ length: Int, isTerminated: Bool) -> Line {
    lines += 1
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[start..<start + length])
    let line = Line(
      bytes: bytes.bindMemory(to: UInt8.self), offset: offset, number: lines,
      isTerminated: isTerminated)
    let taken = isTerminated ? length + 1 : length
    start += taken
    offset += taken
    return line
  }

  /// Reads on behind what is left, after moving that to the front, or to a buffer twice as large
  /// when it fills more than half.
  private func fill() throws(StorageError) {
    let left = end - start
    let rest = UnsafeRawBufferPointer(rebasing: buffer[start..<end])
    if left > buffer.count / 2 {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 2 * buffer.count, alignment: 8)
      larger.copyMemory(from: rest)
      buffer.deallocate()
      buffer = larger
    } else if start > 0 {
      memmove(buffer.baseAddress!, rest.baseAddress!, left)
    }
    start = 0
    end = left
    let count = try fileSystem.read(
      file, at: offset + left, into: UnsafeMutableRawBufferPointer(rebasing: buffer[left...]))
    end += count
    isAtEnd = count == 0
  }
}
