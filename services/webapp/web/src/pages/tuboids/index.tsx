import { PageHead } from '../../ui/page'

export default function TuboidsPage() {
  return (
    <>
      <PageHead title="Tuboids" />
      <p>This page is being made.</p>
    </>
  )
}
