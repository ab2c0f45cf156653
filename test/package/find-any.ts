/** Finds every `any` that the types of a package's entries let through to its user; `unknown` is fine. */
import ts from 'typescript'

/** The places, as paths from an exported name; what `inside` does not declare is the business of others. */
export function findAny(entries: readonly string[], inside: string): string[] {
  const program = ts.createProgram(entries, {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    typeRoots: [`${inside}/../@types`],
  })
  const checker = program.getTypeChecker()
  const found: string[] = []
  const seen = new Set<ts.Type>()

  const isOurs = (symbol: ts.Symbol | undefined): boolean =>
    symbol?.declarations?.some((declaration) => {
      const { fileName } = declaration.getSourceFile()
      return fileName.startsWith(inside) && !fileName.includes('/node_modules/', inside.length)
    }) ?? false

  // The declaration file keeps no type of a private member.
  const isPrivate = ({ valueDeclaration: declaration }: ts.Symbol): boolean =>
    declaration !== undefined &&
    ((ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) !== 0 ||
      (ts.isPropertyDeclaration(declaration) && ts.isPrivateIdentifier(declaration.name)))

  const visitSignature = (signature: ts.Signature, at: string): void => {
    for (const parameter of signature.parameters) {
      visit(checker.getTypeOfSymbol(parameter), `${at}(${parameter.name})`)
    }
    for (const parameter of signature.typeParameters ?? []) visit(parameter, `${at}<>`)
    visit(signature.getReturnType(), `${at}()`)
  }

  const visit = (type: ts.Type, at: string): void => {
    // `any` is one object; so is the type of an expression that does not resolve, which is an `any` to its user.
    if (type.flags & ts.TypeFlags.Any) {
      found.push(at)
      return
    }
    if (seen.has(type)) return
    seen.add(type)

    for (const argument of type.aliasTypeArguments ?? []) visit(argument, `${at}<>`)
    if (type.isUnionOrIntersection()) {
      for (const part of type.types) visit(part, at)
    }
    if (type.flags & ts.TypeFlags.TypeParameter) {
      const constraint = type.getConstraint()
      if (constraint !== undefined) visit(constraint, `${at} extends`)
      const byDefault = type.getDefault()
      if (byDefault !== undefined) visit(byDefault, `${at} =`)
    }
    if (type.flags & ts.TypeFlags.Conditional) {
      const { root, checkType, extendsType } = type as ts.ConditionalType
      visit(checkType, `${at} ?`)
      visit(extendsType, `${at} extends`)
      visit(checker.getTypeFromTypeNode(root.node.trueType), `${at} then`)
      visit(checker.getTypeFromTypeNode(root.node.falseType), `${at} else`)
    }
    if (!(type.flags & ts.TypeFlags.Object)) return

    const objectFlags = (type as ts.ObjectType).objectFlags
    if (objectFlags & ts.ObjectFlags.Reference) {
      for (const argument of checker.getTypeArguments(type as ts.TypeReference)) visit(argument, `${at}<>`)
    }
    // A type that the checker made up (a mapped type's result, a spread) has no symbol of its own.
    const symbol = type.getSymbol()
    if (symbol !== undefined && !isOurs(symbol)) return
    for (const base of type.getBaseTypes() ?? []) visit(base, at)
    for (const property of type.getProperties()) {
      if (isPrivate(property)) continue
      // Of a static side, what Error or EventEmitter put there is theirs; an instance is ours with all it inherits.
      if (!isOurs(property) && type.getConstructSignatures().length > 0) continue
      visit(checker.getTypeOfSymbol(property), `${at}.${property.name}`)
    }
    for (const signature of [...type.getCallSignatures(), ...type.getConstructSignatures()]) {
      visitSignature(signature, at)
    }
    for (const info of checker.getIndexInfosOfType(type)) visit(info.type, `${at}[]`)
  }

  for (const entry of entries) {
    const source = program.getSourceFile(entry)
    const module = source && checker.getSymbolAtLocation(source)
    if (module === undefined) throw new Error(`${entry} is no module`)
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
      if (symbol.flags & ts.SymbolFlags.Value) visit(checker.getTypeOfSymbol(symbol), symbol.name)
      if (symbol.flags & ts.SymbolFlags.Type) visit(checker.getDeclaredTypeOfSymbol(symbol), symbol.name)
    }
  }
  return found
}
