internal import CTurboJPEG
internal import Glibc

/// What was wrong with a file, or with what is in it.
public struct PictureError: Error, CustomStringConvertible {
  /// In words, with the file.
  public let description: String
}

extension Picture {
  /// The longest side, in points: smaller in a debug build, which takes some fifty times as long.
  public static var defaultSideMax: Int {
    #if DEBUG
      480
    #else
      4096
    #endif
  }

  /// Reads a JPEG file, halved until its longer side has at most `sideMax` points, though at most
  /// three times. Throws `PictureError`.
  public init(jpeg path: String, sideMax: Int = defaultSideMax) throws {
    let file = try readFile(path)
    let decoder = tjInitDecompress()
    defer { tjDestroy(decoder) }
    var (width, height, sampling, colours) = (Int32(0), Int32(0), Int32(0), Int32(0))
    guard
      tjDecompressHeader3(
        decoder, file, UInt(file.count), &width, &height, &sampling, &colours) == 0
    else { throw PictureError(decoder, path) }
    var part: Int32 = 1
    while part < 8, Int(max(width, height) / part) > sideMax { part *= 2 }
    self.init(width: Int((width + part - 1) / part), height: Int((height + part - 1) / part))
    guard
      tjDecompress2(
        decoder, file, UInt(file.count), &bytes, Int32(self.width), 0, Int32(self.height),
        TJPF_RGB.rawValue, 0) == 0
    else { throw PictureError(decoder, path) }
  }

  /// Writes a JPEG file of quality 90. Throws `PictureError`.
  public func write(jpeg path: String) throws {
    let encoder = tjInitCompress()
    defer { tjDestroy(encoder) }
    var encoded: UnsafeMutablePointer<UInt8>?
    var count: UInt = 0
    defer { tjFree(encoded) }
    guard
      tjCompress2(
        encoder, bytes, Int32(width), 0, Int32(height), TJPF_RGB.rawValue, &encoded, &count,
        Int32(TJSAMP_420.rawValue), 90, 0) == 0
    else { throw PictureError(encoder, path) }
    try writeFile(path, UnsafeBufferPointer(start: encoded, count: Int(count)))
  }
}

extension PictureError {
  fileprivate init(_ coder: tjhandle?, _ path: String) {
    description = "\(path): \(String(cString: tjGetErrorStr2(coder)))"
  }

  fileprivate init(_ path: String) {
    description = "\(path): \(String(cString: strerror(errno)))"
  }
}

/// The bytes of a file. Throws `PictureError`.
public func readFile(_ path: String) throws -> [UInt8] {
  guard let file = fopen(path, "rb") else { throw PictureError(path) }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = fread(&piece, 1, piece.count, file)
    if count == 0 { break }
    bytes += piece[..<count]
  }
  guard ferror(file) == 0 else { throw PictureError(path) }
  return bytes
}

private func writeFile(_ path: String, _ bytes: UnsafeBufferPointer<UInt8>) throws {
  guard let file = fopen(path, "wb") else { throw PictureError(path) }
  let isWritten = fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count
  guard fclose(file) == 0, isWritten else { throw PictureError(path) }
}
